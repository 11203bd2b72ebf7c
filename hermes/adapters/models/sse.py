"""Server-sent events, as far as model providers use them: the `data:` payloads.

The SDK has a parser of its own, but it builds an object for each event and for
each chunk, which is half of the cost of a turn.  This one works on bytes, so that
a character that is split between two reads needs no care, and takes a whole
network read at a time.
"""

from __future__ import annotations

from hermes.errors import StreamGarbled

# The largest payloads seen are whole tool calls with a file in them; 8 MiB is far
# above those, and small enough that a hostile line cannot fill the memory.
MAX_EVENT_BYTES = 8 * 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SseParser:
    """An incremental parser; one for each response.

    Lines may end in LF, CR LF or CR.  Comments and the fields `event`, `id` and
    `retry` are left out, and so are empty payloads.  `provider` is only named in
    errors.
    """

    __slots__ = ("_after_cr", "_data", "_provider", "_rest", "_size", "_started")

    def __init__(self, provider: str = "") -> None:
        self._provider = provider
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take what one read gave; return the payloads that it completed.

        Raises:
            StreamGarbled: an event is larger than `MAX_EVENT_BYTES`.  The parser is
                of no use afterwards.
        """
        data = self._with_line_feeds(data)
        if b"\n" not in data:
            self._rest += data
            self._check_size(len(self._rest))
            return []
        first, *lines = data.split(b"\n")
        lines.insert(0, bytes(self._rest) + first)
        self._rest = bytearray(lines.pop())
        payloads: list[bytes] = []
        for line in lines:
            self._take_line(line, payloads)
        self._check_size(len(self._rest))
        return payloads

    def finish(self) -> list[bytes]:
        """The stream has ended: an event that lacks only its blank line counts.

        A last line with no line end may be cut anywhere, so it does not count.
        """
        payloads: list[bytes] = []
        self._take_line(b"", payloads)
        return payloads

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Turn every line end into LF, also one that two reads split between CR and LF."""
        if not data:
            return data
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data[-1:] == b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _take_line(self, line: bytes, payloads: list[bytes]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            payload = b"\n".join(self._data)
            self._data.clear()
            self._size = 0
            if payload:
                payloads.append(payload)
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(line)
            self._check_size(0)
        else:
            self._check_size(len(line))

    def _check_size(self, more: int) -> None:
        if self._size + more > MAX_EVENT_BYTES:
            raise StreamGarbled(
                f"an event of the stream is larger than {MAX_EVENT_BYTES} bytes", self._provider
            )
