"""Job IDs in every form in which people keep them, and what is said where a file holds none."""

import gzip
import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import cosai_nb as cn
from cosai_nb.errors import FileError, SettingsError
from cosai_nb.schema import Record
from cosai_nb.table.frame import frame_of
from cosai_nb.table.ids import ids_of

IDS = ["a8d121820f5e411ec926ef19d53ba9c6f", "ab-1_2", "a3"]
JOBS = frame_of([Record(job_id, "not_found") for job_id in IDS])


def saved(suffix):
    stream = io.BytesIO()
    cn.write_jobs(JOBS, stream, format=suffix)
    return stream.getvalue()


def objects(key):
    return [{"State": "Failed", "tags": ["x"], key: job_id} for job_id in IDS]


ONE_A_LINE = "\n".join(IDS)
FORMS = {
    "one a line": ONE_A_LINE,
    "with blank lines and comments": f"# from the ticket\n\n{IDS[0]}\r\n  {IDS[1]}\n#a9\n{IDS[2]}\n\n",
    "old line ends": ONE_A_LINE.replace("\n", "\r"),
    "one line with commas": ", ".join(IDS),
    "one line in quotes": ",".join(f"'{job_id}'" for job_id in IDS),
    "a comma behind each": ",\n".join(IDS),
    "a column alone": f"JobId\n{ONE_A_LINE}\n",
    "quotes and further columns": '"JobId","State"\n' + "".join(f'"{one}","Failed, late"\n' for one in IDS),
    "in the middle, over several lines": "State;Job Id;Message\n"
    + "".join(f'Failed;{one};"two\nlines; with ""quotes"""\n' for one in IDS),
    "tabs": "#\tjob_id\n".replace("#", "No") + "".join(f"{n}\t{one}\n" for n, one in enumerate(IDS)),
    "spreadsheet with an apostrophe": "JOBID;x\n" + "".join(f"'{one};1\n" for one in IDS) + ";\n",
    "comments before the header": "# JobId,n is the header\njobId,n\n" + "".join(f"{one},1\n" for one in IDS),
    "a flattened answer": "JobsDetail.State,JobsDetail.JobId\n" + "".join(f"Failed,{one}\n" for one in IDS),
    "JSON list": json.dumps(IDS),
    "JSON objects": json.dumps(objects("JobId"), indent=1),
    "JSON below other keys": json.dumps({"Response": {"JobsDetail": objects("JobId"), "RequestId": ["r"]}}),
    "JSON lines": "\n".join(map(json.dumps, objects("job_id"))),
    "JSON with a list under the key": json.dumps({"job-ids": 1, "JobID": IDS}),
}


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("form", FORMS)
def test_ids_in_text(tmp_path, form, encoding, wrap):
    content = wrap(FORMS[form].encode(encoding))
    assert cn.read_ids(content) == cn.read_ids(io.BytesIO(content)) == IDS
    (tmp_path / "ids.any").write_bytes(content)  # the content says what it is, not the name
    assert cn.read_ids(tmp_path / "ids.any") == IDS


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_ids_of_a_saved_frame(suffix, wrap):
    assert cn.read_ids(wrap(saved(suffix))) == IDS


def test_ids_beside_text_in_an_old_code_page():
    assert cn.read_ids("JobId,消息\na1,没有\n".encode("gbk")) == ["a1"]


def test_order_and_repetition_stay_and_a_bad_id_among_good_ones_is_kept():
    assert cn.read_ids(b"a2\na1\na2\nno/id\n") == ["a2", "a1", "a2", "no/id"]
    assert cn.read_ids(b'["a1", "..", 7, null]') == ["a1", "..", "7"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"# nothing yet\n", "begins with '# nothing yet'"),
        (b"<html>\n<body>\xff\x1b</body>", "neither text nor Parquet"),
        (b"<html>\n</html>\n", "begins with '<html>"),
        (b"a1,Success\na2,Failed\n", r"several columns and none is called JobId.*'a1,Success'"),
        (b"JobId,State\n", "begins with 'JobId,State'"),
        (b'JobId,Message\na1,"never closed\na2,x\n', "unexpected end of data. Give one ID a line"),
        (b'JobId,Message\na1,"closed too late\na2,"x"\na3,y\n', "expected after"),
        (b"[1, 2", " that can be read: "),
        (b"[" * 100_000, " that can be read: "),
        (b'{"State": "Failed"}', "begins with"),
        (b"PAR1 and no more", " that can be read: "),
        (b"\x1f\x8bnot gzip", " that can be read: "),
        (b"../x\n" * 500, "begins with"),
    ],
)
def test_where_nothing_looks_like_an_id_the_error_says_what_was_seen(tmp_path, content, said):
    (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(FileError, match=rf"ids\.txt holds no job IDs.*{said}") as caught:
        cn.read_ids(tmp_path / "ids.txt")
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_a_parquet_file_without_the_column_names_its_columns():
    stream = io.BytesIO()
    pd.DataFrame({"x": [1]}).to_parquet(stream)
    with pytest.raises(FileError, match="its columns are 'x'; one must be JobId"):
        cn.read_ids(stream.getvalue())


def test_ids_that_a_writer_of_parquet_did_not_mark_as_text():
    stream = io.BytesIO()
    columns = {"JobId": pa.array([b"a1", None, b"a2"]), "huge": pa.array([b"x"] * 3)}
    pa.parquet.write_table(pa.table(columns), stream)
    assert cn.read_ids(stream.getvalue()) == ["a1", "a2"]


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileError, match=r"none\.txt cannot be read: No such file"):
        cn.read_ids(tmp_path / "none.txt")
    with pytest.raises(SettingsError, match="binary"):
        cn.read_ids(io.StringIO("a1"))
    with pytest.raises(SettingsError, match="is no path"):
        cn.read_ids("a\0")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ids").write_text("a1")
    assert cn.read_ids("~/ids") == ["a1"]


class Capsule:
    """A column of another library: all that it shows is one half of Arrow's C interface."""

    def __init__(self, column, way):
        setattr(self, way, getattr(column, way))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(IDS),
        pa.array(IDS).dictionary_encode(),
        pa.chunked_array([IDS[:1], IDS[1:]]),
        Capsule(pa.array(IDS), "__arrow_c_array__"),
        Capsule(pa.chunked_array([IDS]), "__arrow_c_stream__"),
    ],
)
def test_arrow_columns_are_lists_of_strings(column):
    assert ids_of(column) == IDS


@pytest.mark.parametrize("other", [IDS, (*IDS,), pd.Series(IDS), pd.Index(IDS), {"a1"}])
def test_what_is_no_arrow_column_stays_what_it_is(other):
    assert ids_of(other) is other


@pytest.mark.parametrize(
    ("other", "said"),
    [(JOBS, "a table"), ("a1", "str"), (None, "NoneType"), (pd.NaT, "NaTType")],
)
def test_what_is_no_column_of_ids_is_refused_by_every_call(tmp_path, other, said):
    for call in (ids_of, cn.JobStore(tmp_path).jobs, cn.JobStore(tmp_path).ended_ids, cn.watch_jobs):
        if other is not None or call is ids_of or call is cn.watch_jobs:  # of a store it means all
            with pytest.raises(SettingsError, match=f"job_ids is {said}: pass "):
                call(other)
