"""GPUs that NCCL joins, as far as a machine without any can say."""

import pytest
import torch
import torch.distributed as dist

import annulus
import annulus.torch
from annulus import _core
from annulus.torch import _group

HAS_NCCL = _core.features()["nccl"]
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
MISSING = "nccl: there is no GPU for rank" if HAS_NCCL else "this build has no NCCL"


@without_gpu
def test_a_rank_without_a_gpu_is_told():
    with pytest.raises(annulus.InputError, match=MISSING):
        annulus.comm.nccl(annulus.comm.self())


def test_ranks_are_a_communicator():
    with pytest.raises(annulus.InputError, match="ranks is a int; expected a communicator"):
        annulus.comm.nccl(3)


@without_gpu
@pytest.mark.skipif(not HAS_NCCL, reason="this build has no NCCL")
def test_a_group_of_nccl_needs_gpus(group):
    with pytest.raises(annulus.InputError, match="PyTorch sees no GPU here"):
        _group._gpus(group)


@without_gpu
def test_so_are_all_ranks():
    def rank(comm):
        with pytest.raises(annulus.InputError, match=MISSING):
            annulus.comm.nccl(comm)
        comm.barrier()  # and may go on
        return comm.rank
    assert annulus.comm.threads(3).run(rank) == [0, 1, 2]


@without_gpu
@pytest.mark.skipif(not HAS_NCCL, reason="this build has no NCCL")
def test_ids():
    one, other = _core.nccl_id(), _core.nccl_id()
    assert len(one) == 128 and one != other
    with pytest.raises(annulus.InputError, match="an id of 3 bytes; expected 128"):
        _core.nccl_with_id(b"abc", 1, 0, 0)


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


@pytest.mark.parametrize("config, expected", [("cuda:ucc", "cuda:ucc; expected one that moves memory of the CPU"),
                                              ("cuda:nccl", None)])
def test_groups_that_move_no_memory_of_the_cpu(group, monkeypatch, config, expected):
    monkeypatch.setattr(dist, "get_backend_config", lambda group: config)
    joined = []
    monkeypatch.setattr(_group, "_gpus", joined.append)
    if expected is None:
        _group._made(group)
        assert joined == [group]
    else:
        with pytest.raises(annulus.InputError, match=expected):
            _group._made(group)


@pytest.mark.skipif(HAS_NCCL, reason="this build has NCCL")
def test_a_build_without_it_says_so(group):
    with pytest.raises(annulus.InputError, match="this build of annulus has none"):
        _group._gpus(group)
