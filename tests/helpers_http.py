"""What servers of tests that answer HTTP have in common."""


class KeepsConnections:
    """Of a ``BaseHTTPRequestHandler``: sends an answer's body right behind its head (else it waits 40 ms), and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass
