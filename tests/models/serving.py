"""A release on this machine: a small HTTP server that can misbehave as the real ones do."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Release:
    """content: what every path answers. requests: how many came. how: one of "whole", "cut", "slow", "absent"."""

    def __init__(self, content):
        self.content = content
        self.how = "whole"
        self.requests = 0
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        release = self.server.release
        release.requests += 1
        if release.how == "absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(release.content)))
        self.end_headers()
        half = len(release.content) // 2
        with contextlib.suppress(OSError):
            self.wfile.write(release.content[:half])
            self.wfile.flush()
            if release.how == "cut":
                return
            while release.how == "slow":
                time.sleep(0.02)
            self.wfile.write(release.content[half:])

    def log_message(self, *_args):
        pass


@contextlib.contextmanager
def serving(content):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.release = release = Release(content)
    release.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield release
    finally:
        release.how = "whole"
        server.shutdown()
        thread.join()
        server.server_close()
