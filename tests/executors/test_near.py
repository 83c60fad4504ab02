"""Which cores are an accelerator's own, on machines that are folders of files."""

import pytest

from harness.doctor.kernel import Kernel
from harness.executors.near import BUS, LISTED, cores_near, divide

ADDRESSES = ("0000:18:00.0", "0000:3a:00.0", "0000:9b:00.0")
UUIDS = ("GPU-0b1c", "GPU-7d2e", "GPU-7f30")
NEAR = ("0-2,16-18", "0-2,16-18", "8")
INFORMATION = "Model: \t\t NVIDIA H100\nIRQ:   \t\t 18\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\n"


@pytest.fixture
def kernel(tmp_path):
    """Return a machine of three accelerators, which its driver does not list in order."""
    for address, uuid, near in reversed(list(zip(ADDRESSES, UUIDS, NEAR, strict=True))):
        for path, text in (
            (f"{LISTED}/{address}/information", INFORMATION.format(uuid=uuid)),
            (f"{BUS}/{address}/local_cpulist", near + "\n"),
        ):
            (tmp_path / path).parent.mkdir(parents=True)
            (tmp_path / path).write_text(text)
    return Kernel(tmp_path)


@pytest.mark.parametrize("names", [("2", "0"), ("GPU-7f30", "GPU-0b")], ids=["places", "UUIDs"])
def test_an_accelerator_is_found_by_its_place_on_the_bus_and_by_its_uuid(kernel, names):
    assert cores_near(names, kernel) == ((8,), (0, 1, 2, 16, 17, 18))


def test_what_is_not_listed_has_no_near_cores(kernel, tmp_path):
    assert cores_near(("3", "GPU-ff", "MIG-0b1c"), kernel) == ((), (), ())
    assert cores_near(("0",), Kernel(tmp_path / "none")) == ((),)
    assert cores_near((), kernel) == ()


@pytest.mark.parametrize(
    ("cores", "near", "shares"),
    [
        (range(4), [(), ()], [(0, 1), (2, 3)]),
        (range(5), [(), ()], [(0, 1), (2, 3)]),
        (range(4), [(2, 3), (0, 1)], [(2, 3), (0, 1)]),
        (range(4), [range(4), range(4)], [(0, 1), (2, 3)]),
        (range(4), [(), (0, 9)], [(1, 2), (0, 3)]),
        (range(2), [(), (), ()], [(), (), ()]),
        (range(2), [], []),
    ],
    ids=["even", "one over", "near", "one socket", "too few near", "too few", "no accelerator"],
)
def test_shares_are_equal_and_disjoint_and_near_as_far_as_that_goes(cores, near, shares):
    assert divide(cores, near) == shares
