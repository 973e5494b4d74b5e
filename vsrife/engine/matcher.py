"""Brings two small pictures to the middle between them by a network's motion, to see whether they match.

The same arithmetic as for a new frame at t = 0.5, at a hundredth of its size and cost. Every network predicts that
time.
"""

from collections.abc import Callable

from torch import Tensor

from vsrife.engine.interpolator import Interpolator
from vsrife.engine.networks import RGB, BlockNetwork, PreparedLegacyNetwork
from vsrife.engine.streams import lane
from vsrife.network.warp import backward_warp

__all__ = ["Matcher"]


class Matcher:
    """The matching of pictures of one size. Any number of threads may use it at once.

    The network runs at a scale of 1 and without an ensemble, whatever new frames are made with: the result is the
    same for all of them.
    """

    def __init__(self, network: BlockNetwork | PreparedLegacyNetwork, rows: int, columns: int) -> None:
        self._interpolator = Interpolator(network, columns, rows, scale=1.0, ensemble=False)

    def warped[Result](self, left: Tensor, right: Tensor, measure: Callable[[Tensor, Tensor], Result]) -> Result:
        """What ``measure`` finds of both pictures, warped to the middle: its result must be on the host.

        left, right: float32 [rows, columns] in 0..1, in host memory; the network sees them as grey. measure: is called
        with float32 [rows, columns] on the device, on whose current stream they are valid.

        The caller has entered `slots.inference_context`. Where memory runs out, see `Interpolator.undertake`.
        """
        return self._interpolator.undertake(lambda: self._measured(left, right, measure))

    def _measured[Result](self, left: Tensor, right: Tensor, measure: Callable[[Tensor, Tensor], Result]) -> Result:
        interpolator = self._interpolator
        rows, columns = left.shape
        with lane(interpolator.device) as held:
            pictures = [picture.to(interpolator.device)[None, None] for picture in (left, right)]
            a, b = (interpolator.pack_rgb(picture.expand(-1, RGB, -1, -1)) for picture in pictures)
            flow = interpolator.field(held, a, b, 0.5).motion.flow[..., :rows, :columns]
            return measure(
                backward_warp(pictures[0], flow[:, :2])[0, 0],
                backward_warp(pictures[1], flow[:, 2:])[0, 0],
            )
