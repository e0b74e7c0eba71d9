"""Fields of a configuration file, each read as what it must be, or refused by its name."""

from collections.abc import Mapping
from dataclasses import dataclass

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.yaml_config import Tagged, resolve

MAX_SIZE = 32_768
"""More than any width; less than what would take the machine down before the weights show that it is wrong."""
MAX_LENGTH = 8
MAX_ENTRY = 1000
"""Of lists: each entry makes a module, of that size."""
FAR_TOO_LARGE = 10**15


@dataclass(frozen=True, slots=True)
class Section:
    """Some fields of a file, and how to name them when they are wrong."""

    file: str
    path: str
    fields: Mapping[str, object]
    top: Mapping[str, object]

    def wrong(self, key: str, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.file}: {f'{self.path}.{key}' if self.path else key}: {problem}")

    def value(self, key: str) -> object:
        if key not in self.fields:
            raise self.wrong(key, "is missing")
        try:
            return resolve(self.fields[key], self.top)
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def section(self, key: str, name: str | None = None) -> "Section":
        """The fields below ``key``, which must be those of the class or function ``name`` if that is given."""
        value = self.value(key)
        if isinstance(value, Tagged):
            found = value.name.rpartition(".")[2]
            if name is not None and found != name:
                raise self.wrong(key, f"is {found or 'nothing'}, expected {name}")
            value = value.fields
        elif name is not None:
            raise self.wrong(key, f"expected !new:...{name}, found {_kind(value)}")
        if not isinstance(value, Mapping):
            raise self.wrong(key, f"expected fields, found {_kind(value)}")
        return Section(self.file, f"{self.path}.{key}" if self.path else key, value, self.top)

    def integer(self, key: str, low: int = 1, high: int = MAX_SIZE) -> int:
        return self._integer(key, self.value(key), low, high)

    def number(self, key: str, low: float, high: float) -> float:
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, f"expected a number, found {_kind(value)}")
        if not low <= value <= high:  # not for NaN either
            raise self.wrong(key, f"expected {low:g} to {high:g}, found {_kind(value)}")
        return float(value)

    def integers(self, key: str, length: int | None = None) -> tuple[int, ...]:
        return self._integers(key, self.value(key), length)

    def integer_lists(self, key: str, length: int) -> tuple[tuple[int, ...], ...]:
        rows = self._list(key, self.value(key), length)
        return tuple(self._integers(f"{key}[{index}]", row, None) for index, row in enumerate(rows))

    def expect(self, key: str, expected: object) -> None:
        """Refuse what nothing here can do: another value than ``expected``, of a field that may be left out."""
        if key in self.fields and self.value(key) != expected:
            raise self.wrong(key, f"expected {expected!r}, nothing else is supported; found {_kind(self.value(key))}")

    def _integer(self, key: str, value: object, low: int, high: int) -> int:
        if isinstance(value, float) and value.is_integer():  # what a division has left
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, f"expected a whole number, found {_kind(value)}")
        if not low <= value <= high:
            raise self.wrong(key, f"expected {low} to {high}, found {_kind(value)}")
        return value

    def _list(self, key: str, value: object, length: int | None) -> list[object]:
        if not isinstance(value, list):
            raise self.wrong(key, f"expected a list, found {_kind(value)}")
        if length is not None and len(value) != length:
            raise self.wrong(key, f"expected {length} entries, found {len(value)}")
        if not 1 <= len(value) <= MAX_LENGTH:
            raise self.wrong(key, f"expected 1 to {MAX_LENGTH} entries, found {len(value)}")
        return value

    def _integers(self, key: str, value: object, length: int | None) -> tuple[int, ...]:
        entries = self._list(key, value, length)
        return tuple(self._integer(f"{key}[{index}]", entry, 1, MAX_ENTRY) for index, entry in enumerate(entries))


def _kind(value: object) -> str:
    if isinstance(value, Tagged):
        return value.name or "a tag without a name"
    if isinstance(value, int) and abs(value) > FAR_TOO_LARGE:  # whose digits would take too long to say
        return "a number far too large"
    names = {dict: "fields", list: "a list", type(None): "nothing"}
    return names.get(type(value), f"{value!r:.60}")
