import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """With small networks waiting for other threads costs more than the work, all the more on shared cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
