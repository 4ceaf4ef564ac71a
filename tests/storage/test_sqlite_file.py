"""A SQLite file as a record lies where its locks hold."""

from pathlib import Path

import pytest

from archsearch.errors import EnvironmentFaultError
from archsearch.storage.sqlite_file import file_system_of, refuse_network_file_system

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/bob/local ext4 rw 0 0
automatic /data autofs rw 0 0
bob@server:/ /data fuse.sshfs rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/run", "ext4"),
        ("/home/bob/run", "nfs4"),
        ("/home/bob/local/run", "ext4"),
        ("/home/bob/locals/run", "nfs4"),
        ("/data/run", "fuse.sshfs"),
        ("/mnt/my share/run", "cifs"),
    ],
)
def test_a_file_lies_on_the_innermost_mount_and_of_two_on_the_later(path, kind):
    assert file_system_of(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused_with_the_advice_to_take_postgresql():
    with pytest.raises(
        EnvironmentFaultError, match=r"\(nfs4\).*--storage postgresql://.*local folder"
    ) as caught:
        refuse_network_file_system(Path("/home/bob/run/study.db"), MOUNTS)

    assert caught.value.exit_code == 4


def test_a_local_file_system_and_an_unknown_one_are_accepted():
    refuse_network_file_system(Path("/home/bob/local/run/study.db"), MOUNTS)
    refuse_network_file_system(Path("/home/bob/run/study.db"), "")
