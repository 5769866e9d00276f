from lib.export.names import file_name, file_names
from tests.inference.motions import walking


def test_names_say_the_person_only_where_there_are_several() -> None:
    motions = [walking(3, name=name, person=person) for name, person in (("a", "0"), ("b", "0"), ("b", "7"))]
    assert list(file_names(motions)) == ["a", "b_person0", "b_person7"]


def test_no_two_files_have_one_name() -> None:
    motions = [walking(3, name=name) for name in ("a/b", "a b", "A_B", "a_b_2", "..")]
    names = list(file_names(motions))
    assert names[:2] == ["a_b", "a_b_2"]
    assert len({name.lower() for name in names}) == len(names)


def test_no_name_leaves_its_folder() -> None:
    assert file_name("../../etc/passwd") == "etc_passwd"
    assert file_name("...") == "motion"
