"""The benchmark grid: what it measures, how it shares its time, and what it makes of figures."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import gmean

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks" / "grid").is_dir():
    pytest.skip("the tests stand without the source tree", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks import arrays as judged_arrays  # noqa: E402
from benchmarks.arrays import output_of  # noqa: E402
from benchmarks.cell import Cell  # noqa: E402
from benchmarks.grid import contest, session, summary  # noqa: E402
from benchmarks.grid.arrays import inputs_of  # noqa: E402
from benchmarks.grid.budget import LONGEST, Budget, weight  # noqa: E402
from benchmarks.grid.cells import SHAPES, cells, family  # noqa: E402
from benchmarks.grid.floor import bytes_moved, levels  # noqa: E402
from benchmarks.grid.record import Floor, Ratio, Record, from_json, to_json  # noqa: E402
from benchmarks.grid.report import markdown  # noqa: E402
from benchmarks.grid.slow_peers import SlowPeers  # noqa: E402
from benchmarks.grid.station import Station  # noqa: E402
from benchmarks.grid.store import Store  # noqa: E402
from benchmarks.libraries import Unsupported  # noqa: E402

SMALL = Cell("softmax", (32, 100), "float32", -1)
LARGE = Cell("softmax", (1, 10_000_000), "float32", -1)


def record_of(cell=SMALL, floor=None, **paired):
    ratios = {name: Ratio(ratio, 0.9 * ratio, 1.1 * ratio) for name, ratio in paired.items()}
    return Record(cell, 1e-5, 7, ratios, {}, {}, {}, floor)


class TestCells:
    def test_the_order_is_the_same_and_every_name_is_unique(self):
        names = [cell.name for cell in cells()]
        assert names == [cell.name for cell in cells()]
        assert len(set(names)) == len(names)

    def test_every_shape_has_every_dtype_operation_and_output(self):
        found = list(cells())
        dtypes = {cell.dtype for cell in found}
        assert {"float16", "float32", "float64"} <= dtypes
        for shape in SHAPES:
            here = [c for c in found if (c.shape, c.axis) == (shape.shape, shape.axis)]
            ops = {cell.op for cell in here}
            assert ("cross_entropy_value_and_grad" in ops) == shape.classes
            assert len(here) == len(dtypes) * len(ops) * 2

    def test_workers_are_timed_on_large_arrays_and_a_fresh_output(self):
        found = list(cells(workers=2))
        assert found
        assert all(c.workers == 2 and c.size >= 100_000 and not c.out for c in found)
        assert all(cell.name.endswith("workers=2") for cell in found)

    def test_the_quick_ones_are_some_of_all(self):
        quick = set(cells(quick=True))
        assert quick < set(cells())
        assert len(quick) < 250

    def test_what_the_command_line_asks_for(self):
        plan = session.Plan(None, False, [" float32 ", "x1000 "], 1, "both", False, Path())
        both = session.chosen(plan, cpus=2)
        assert both == list(dict.fromkeys(both))
        assert {cell.workers for cell in both} == {1, 2}
        assert all(cell.dtype == "float32" and cell.shape[-1] == 1000 for cell in both)
        assert {c.workers for c in session.chosen(replace(plan, workers="all"), cpus=2)} == {2}
        assert session.chosen(plan, cpus=1) == session.chosen(replace(plan, workers="1"), cpus=1)

    def test_every_cell_belongs_to_a_family(self):
        assert {family(cell) for cell in cells()} == {shape.family for shape in SHAPES}


class TestArrays:
    @pytest.mark.parametrize("cell", list(cells(quick=True)), ids=lambda cell: cell.name)
    def test_they_are_what_the_judge_would_make(self, cell):
        made = inputs_of(cell)
        expected = judged_arrays.inputs_of(cell)
        assert {name: (a.shape, a.dtype) for name, a in made.items()} == {
            name: (a.shape, a.dtype) for name, a in expected.items()
        }

    @pytest.mark.parametrize("cell", list(cells(quick=True)), ids=lambda cell: cell.name)
    def test_the_floor_counts_the_bytes_of_inputs_and_result(self, cell):
        arrays = [*inputs_of(cell).values(), output_of(cell)]
        assert bytes_moved(cell) == sum(array.nbytes for array in arrays)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Steady:
    """A library whose every call takes the same time of a clock."""

    def __init__(self, clock, name, each, unsupported=None):
        self.clock, self.name, self.each, self.unsupported = clock, name, each, unsupported
        self.calls = 0
        self.released = False

    def prepare(self, cell):
        if self.unsupported:
            raise Unsupported(self.unsupported)
        self.seconds(1)

    def seconds(self, number):
        self.calls += number
        self.clock.now += number * self.each
        return number * self.each

    def release(self):
        self.released = True


@pytest.fixture
def no_floor(monkeypatch):
    monkeypatch.setattr(contest, "levels", lambda cell: [])


@pytest.mark.usefixtures("no_floor")
class TestContest:
    def hold(self, *each, share=0.2, **options):
        clock = Clock()
        ours = Steady(clock, "ours", 1e-5)
        peers = [Steady(clock, f"peer {i}", seconds) for i, seconds in enumerate(each)]
        record = contest.hold(SMALL, ours, peers, share, clock=clock, on_cpu=clock, **options)
        return record, peers, clock

    def test_the_ratio_is_that_of_the_best_peer(self):
        record, _, _ = self.hold(4e-5, 3e-5, 3.5e-5)
        assert record.best == "peer 1"
        assert record.ratio.median == pytest.approx(3)
        assert record.ratio.spread == pytest.approx(0, abs=1e-9)
        assert record.seconds == pytest.approx(1e-5)

    def test_a_peer_far_behind_is_only_looked_at(self):
        record, peers, _ = self.hold(2e-5, 2e-3)
        assert list(record.paired) == ["peer 0"]
        assert record.estimated == {"peer 1": pytest.approx(200)}
        assert peers[1].released
        assert peers[1].calls < 10

    def test_a_faster_peer_is_named(self):
        record, _, _ = self.hold(5e-6, 2e-5)
        assert record.peer_faster
        assert record.ratio.median == pytest.approx(0.5)

    def test_steady_ratios_end_the_rounds(self):
        record, _, _ = self.hold(2e-5, share=10.0)
        assert record.rounds == contest.ENOUGH_ROUNDS

    @pytest.mark.parametrize(("each", "rounds"), [(1e-2, 5), (0.1, 3), (1.0, 1)])
    def test_rounds_when_the_share_is_over(self, each, rounds):
        record, _, _ = self.hold(each, share=0.0)
        assert record.rounds == rounds
        assert record.ratio.median == pytest.approx(each / 1e-5)

    def test_disturbed_rounds_do_not_count(self):
        clock = Clock()
        on_cpu = Clock()

        class Disturbed(Steady):
            """Takes far longer in every second sample, and is off the CPU for most of that."""

            samples = 0

            def seconds(self, number):
                wall = super().seconds(number)
                on_cpu.now += wall
                self.samples += 1
                if self.samples % 2:
                    return wall
                self.clock.now += 9 * wall
                return 10 * wall

        class Quiet(Steady):
            def seconds(self, number):
                on_cpu.now += number * self.each
                return super().seconds(number)

        ours, peer = Quiet(clock, "ours", 1e-5), Disturbed(clock, "peer", 2e-5)
        record = contest.hold(SMALL, ours, [peer], 10.0, clock=clock, on_cpu=on_cpu)
        assert record.ratio.high == pytest.approx(2)
        assert record.rounds == contest.ENOUGH_ROUNDS

    def test_a_call_that_takes_long_is_repeated_while_there_is_time(self):
        record, _, _ = self.hold(1.0, share=4.5)
        assert record.rounds == 3
        assert record.ratio.median == pytest.approx(1e5)

    def test_what_cannot_be_done_is_said(self):
        clock = Clock()
        peers = [Steady(clock, "none", 1e-5, "no such call"), Steady(clock, "some", 1e-5)]
        record = contest.hold(
            SMALL, Steady(clock, "ours", 1e-5), peers, 0.1, clock=clock, on_cpu=clock
        )
        assert record.unsupported == {"none": "no such call"}
        assert list(record.paired) == ["some"]

    def test_no_peer_at_all(self):
        record, _, _ = self.hold()
        assert record.ratio is None
        assert not record.peer_faster

    def test_a_spared_peer_is_not_called(self):
        record, peers, _ = self.hold(
            2e-5, 3e-5, spared=lambda name, cell: "slow" if name == "peer 0" else None
        )
        assert record.spared == {"peer 0": "slow"}
        assert peers[0].calls == 0
        assert record.best == "peer 1"


class TestFloor:
    @pytest.mark.parametrize(
        ("cell", "names"),
        [
            (Cell("softmax", (1, 10), "float32", -1), {"call"}),
            (Cell("softmax", (32, 1000), "float16", -1), {"copy", "exp"}),
            (Cell("softmax_vjp", (32, 1000), "float64", -1), {"copy"}),
            (Cell("softmax", (1024, 1000), "float32", -1, workers=2), set()),
        ],
    )
    def test_its_levels(self, cell, names):
        assert {level.yardstick.name for level in levels(cell)} == names

    def test_few_and_many_bytes_are_scaled(self):
        few, many = (levels(cell)[0] for cell in (SMALL, LARGE))
        assert few.times == pytest.approx(2 * SMALL.size * 4 / (1 << 16))
        assert many.times == 1
        huge = levels(Cell("softmax", (65_536, 1000), "float64", -1))[0]
        assert huge.times == pytest.approx(2 * 65_536 * 1000 * 8 / (1 << 27))

    def test_the_higher_level_counts(self, monkeypatch):
        clock = Clock()
        fast, slow = Steady(clock, "copy", 1e-6), Steady(clock, "exp", 4e-6)
        found = [contest.Level(fast, 1.0), contest.Level(slow, 2.0)]
        monkeypatch.setattr(contest, "levels", lambda cell: found)
        record = contest.hold(
            SMALL, Steady(clock, "ours", 1e-5), [], 0.1, clock=clock, on_cpu=clock
        )
        assert record.floor.level == "exp"
        assert record.floor.times.median == pytest.approx(1e-5 / 8e-6)


class TestBudget:
    def test_the_shares_make_up_the_time(self):
        chosen = [SMALL] * 90 + [LARGE] * 10
        clock = Clock()
        budget = Budget(60, chosen, clock)
        for cell in chosen:
            clock.now += budget.share(cell)
        assert clock.now == pytest.approx(60)

    def test_what_one_takes_too_much_the_others_give(self):
        clock = Clock()
        budget = Budget(100, [SMALL] * 100, clock)
        assert budget.share(SMALL) == pytest.approx(1)
        clock.now += 50.5
        assert budget.share(SMALL) == pytest.approx(0.5)

    def test_a_large_array_gets_more_and_none_too_much(self):
        assert weight(LARGE) > 2 * weight(SMALL)
        assert Budget(1e6, [SMALL, LARGE]).share(LARGE) == LONGEST

    def test_when_the_time_is_over_the_share_is_nothing(self):
        clock = Clock()
        budget = Budget(1, [SMALL] * 2, clock)
        clock.now = 5
        assert budget.share(SMALL) == 0


class TestSlowPeers:
    @pytest.fixture
    def slow(self):
        slow = SlowPeers()
        cell = Cell("softmax", (1, 1_000_000), "float32", -1)
        slow.learn(Record(cell, 1e-3, 7, {"fast": Ratio(1, 1, 1)}, {"slow": 30.0}, {}))
        return slow

    def test_a_slow_one_is_spared_a_large_array(self, slow):
        assert "30.0 times" in slow.reason("slow", LARGE)
        assert slow.reason("fast", LARGE) is None

    def test_but_not_another_operation_dtype_or_axis(self, slow):
        others = [
            Cell("logsumexp", LARGE.shape, "float32", -1),
            Cell("softmax", LARGE.shape, "float64", -1),
            Cell("softmax", LARGE.shape, "float32", 0),
            SMALL,
        ]
        assert all(slow.reason("slow", cell) is None for cell in others)


class TestStore:
    HEAD = {"CPU": "this one", "Date": "today"}  # noqa: RUF012
    FULL = Record(
        SMALL,
        1e-5,
        7,
        {"NumPy": Ratio(2, 1.9, 2.1)},
        {"SciPy": 9.0},
        {"JAX": "slow"},
        {"PyTorch": "no such call"},
        Floor("copy", Ratio(1.5, 1.4, 1.6)),
    )

    def test_a_record_survives_the_file(self):
        assert from_json(json.loads(json.dumps(to_json(self.FULL)))) == self.FULL

    def test_an_interrupted_run_keeps_its_cells(self, tmp_path):
        file = tmp_path / "cells.jsonl"
        store = Store(file, self.HEAD, ("CPU",), resume=False)
        store.add(self.FULL)
        store.add(record_of(LARGE, NumPy=3))
        store.close()
        whole = file.read_text()
        file.write_text(whole[:-20])  # cut off in the last line
        again = Store(file, self.HEAD | {"Date": "tomorrow"}, ("CPU",), resume=True)
        assert again.records == {SMALL: self.FULL}
        again.add(record_of(LARGE, NumPy=3))
        again.close()
        assert file.read_text() == whole

    def test_another_machine_is_refused(self, tmp_path):
        file = tmp_path / "cells.jsonl"
        Store(file, self.HEAD, ("CPU",), resume=False).close()
        with pytest.raises(ValueError, match="CPU differs: this one there, another here"):
            Store(file, {"CPU": "another"}, ("CPU",), resume=True)

    def test_without_resume_the_file_starts_anew(self, tmp_path):
        file = tmp_path / "cells.jsonl"
        store = Store(file, self.HEAD, ("CPU",), resume=False)
        store.add(self.FULL)
        store.close()
        again = Store(file, self.HEAD, ("CPU",), resume=False)
        assert not again.records
        again.close()
        assert len(file.read_text().splitlines()) == 1


class TestSummary:
    RATIOS = (0.5, 4.0, 1.5, 0.9, 7.0)

    def records(self):
        lengths = (2, 3, 10, 17, 64)
        return [
            record_of(Cell("softmax", (32, n), "float32", -1), NumPy=ratio, SciPy=2 * ratio)
            for n, ratio in zip(lengths, self.RATIOS, strict=True)
        ]

    def test_geometric_mean_over_the_best_peer(self):
        group = summary.group("all", self.records())
        assert group.mean == pytest.approx(gmean(self.RATIOS))
        assert (group.cells, group.smallest, group.peer_faster) == (5, 0.5, 2)

    def test_cells_without_a_peer_do_not_count(self):
        assert summary.group("all", [record_of()]) is None
        assert summary.group("all", [*self.records(), record_of()]).cells == 5

    def test_groups_part_the_cells(self):
        records = [*self.records(), record_of(Cell("softmax", (1, 2), "float64", -1), NumPy=3)]
        by_dtype = summary.groups(records, summary.GROUPINGS["dtype"])
        assert {group.name: group.cells for group in by_dtype} == {"float32": 5, "float64": 1}

    def test_the_worst_come_first(self):
        assert [r.ratio.median for r in summary.worst(self.records(), 2)] == [0.5, 0.9]
        assert [r.ratio.median for r in summary.peer_faster(self.records())] == [0.5, 0.9]

    def test_the_report_says_plainly_who_is_faster(self):
        text = markdown({"CPU": "this one"}, self.records(), {"a cell": "takes no workers"}, {})
        assert "2 of 5 cells" in text
        assert "**0.5 [0.45, 0.55] peer faster**" in text
        assert "4 [3.6, 4.4] |" in text
        assert "takes no workers (a cell)" in text
        table = text.split("## Rows\n")[1]
        assert all(record.cell.name in table for record in self.records())

    def test_the_report_of_nothing(self):
        assert "Benchmark grid" in markdown({}, [], {}, {})


def test_a_library_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    station = Station("SciPy", 2)
    try:
        station.prepare(SMALL)
        assert 0 < station.seconds(200) < 10
        station.release()
        with pytest.raises(Unsupported, match="no such call"):
            station.prepare(Cell("softmax_vjp", (32, 100), "float32", -1))
        with pytest.raises(Unsupported, match="no output to hand over"):
            station.prepare(Cell("softmax", (32, 100), "float32", -1, out=True))
    finally:
        station.close()


def run_the_grid(folder, *options):
    words = [
        "--filter",
        "softmax float32 ",
        "--filter",
        "1x7 ",
        "--workers",
        "1",
        "--minutes",
        "0.01",
    ]
    command = [sys.executable, "-m", "benchmarks", *words, "--output", str(folder), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def test_a_run_from_end_to_end_and_its_resumption(tmp_path):
    run_the_grid(tmp_path)
    data = json.loads((tmp_path / "grid.json").read_text())
    names = [from_json(cell).cell.name for cell in data["cells"]]
    assert names == [
        "softmax float32 1x7 axis=-1",
        "softmax float32 1x7 axis=-1 out=",
        "log_softmax float32 1x7 axis=-1",
        "log_softmax float32 1x7 axis=-1 out=",
    ]
    assert all("NumPy" in cell["paired"] | cell["estimated"] for cell in data["cells"])
    file = tmp_path / "cells.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:3]) + "\n")
    resumed = run_the_grid(tmp_path, "--resume")
    assert resumed.stderr.count("axis=-1") == 2  # only those that were missing
    again = file.read_text().splitlines()
    assert again[:3] == lines[:3]
    assert len(again) == len(lines)
    assert prod(from_json(json.loads(again[-1])).cell.shape) == 7
    assert np.isfinite(json.loads(again[-1])["seconds"])
