"""list_gpu=1, as in the RIFE-ncnn-Vulkan plugin: the clip with a numbered list of the GPUs on it, not interpolated."""

from vsrife.engine.device import gpus, why_no_gpu
from vsrife.plugin.vsapi import Core, Map

__all__ = ["publish"]


def publish(core: Core, passed: Map, result: Map) -> None:
    """Put the call's clip with the list on it into ``result``, and write the list to the log."""
    found = [f"{index}: {name}" for index, name in enumerate(gpus())] or [f"no GPU is used: {why_no_gpu()}"]
    core.inform_once(f"RIFE: list_gpu (1): {', '.join(found)}")
    nodes = [passed.node("clip")]
    try:
        if core.on_gpu(nodes[0]):
            nodes.append(core.downloaded(nodes[0]))
        nodes.append(core.written_on(nodes[-1], "\n".join(found)))
        result.give_node("clip", nodes[-1])
    finally:
        for node in nodes:
            core.api.freeNode(node)
