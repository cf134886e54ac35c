import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small convolutions gain nothing from more, and lose much beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
