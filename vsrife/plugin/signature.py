"""The signature that core.rife.RIFE is registered with: read by the build and by the plugin, so it stands once.

Switches and whole numbers are declared ``float``, because VapourSynth converts the value of an ``int`` argument with
Python's int(): ``fps_num=59.94`` would become 59 and ``sc=0.5`` would become 0, without an error. The value of a
``float`` arrives as it was passed and can be refused. In the stubs that vsstubs generates, ``float`` accepts bool, int,
float and Fraction.
"""

__all__ = ["ARGUMENTS", "SIGNATURE"]

SIGNATURE = (
    "clip:vnode:all;multi:float:opt;factor_num:float:opt;factor_den:float:opt;fps_num:float:opt;fps_den:float:opt;"
    "cfr:float:opt;pause:float:opt;retime:float:opt;"
    "model:data:opt;scale:float:opt;ensemble:float:opt;sc:float:opt;sc_threshold:float:opt;"
    "skip:float:opt;skip_threshold:float:opt;device:data:opt;precision:data:opt;"
    "matrix_in:data:opt;range_in:data:opt;chromaloc_in:data:opt;"
    "multiplier:float:opt;model_path:data:opt;gpu_id:float:opt;gpu_thread:float:opt;tta:float:opt;uhd:float:opt;"
    "list_gpu:float:opt;"
)

ARGUMENTS = tuple(entry.split(":")[0] for entry in SIGNATURE.split(";") if entry)[1:]
"""The names of all arguments but the clip, in order."""
