"""A small RTSP server program for tests, on GStreamer: `/usr/bin/python3 rtsp_server.py SPEC`.

It runs outside the virtual environment, since `gi` comes with the system's Python. SPEC is a JSON object:

    {"port": 0, "user": "u", "password": "p", "digest": false,
     "mounts": [{"name": "cam", "kind": "pattern", "pattern": "smpte", "codec": "h264", "size": [640, 360], "rate": 15},
                {"name": "clip", "kind": "loop", "path": "/a/b.h264", "rate": 15}]}

A `loop` is an Annex-B H.264 file with access unit delimiters and no B-frames, repeated for ever with time running on.
Port 0 takes a free one. It listens on 127.0.0.1, prints `READY <port>` and ends with SIGTERM.
"""

import importlib
import json
import pathlib
import signal
import sys
from typing import Any

gi: Any = importlib.import_module("gi")
for module in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(module, "1.0")
GLib, Gst, GstRtsp, GstRtspServer = (
    importlib.import_module(f"gi.repository.{name}") for name in ("GLib", "Gst", "GstRtsp", "GstRtspServer")
)

ROLE = "reader"
DELIMITER = b"\x00\x00\x00\x01\x09"
"""start code and type of an H.264 access unit delimiter: the head of each picture"""
ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=15 "
    "! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=1",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def pattern_factory(mount: dict[str, Any]) -> Any:
    """A live test pattern of `videotestsrc`."""
    width, height = mount["size"]
    caps = f"video/x-raw,format=I420,width={width},height={height},framerate={mount['rate']}/1"
    source = f"videotestsrc is-live=true pattern={mount['pattern']}"
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {source} ! {caps} ! {ENCODERS[mount['codec']]} )")
    return factory


def loop_factory(mount: dict[str, Any]) -> Any:
    """A file's pictures pushed at their rate, over and over, without encoding them again."""
    pictures = [DELIMITER + rest for rest in pathlib.Path(mount["path"]).read_bytes().split(DELIMITER)[1:]]
    caps = f"video/x-h264,stream-format=byte-stream,alignment=au,framerate={mount['rate']}/1"
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( appsrc name=pictures is-live=true format=time caps="{caps}" '
        "! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    factory.connect("media-configure", lambda _, media: feed(media, pictures, mount["rate"]))
    return factory


def feed(media: Any, pictures: list[bytes], rate: int) -> None:
    """Push one picture per beat for as long as this media is prepared.

    Time stamps are multiples of the period, whenever a loaded machine gets round to pushing.
    """
    source = media.get_element().get_by_name_recurse_up("pictures")
    state = {"next": 0, "timer": 0, "start": 0}

    def push() -> bool:
        if not state["next"]:
            state["start"] = source.get_clock().get_time() - source.get_base_time()
        buffer = Gst.Buffer.new_wrapped(pictures[state["next"] % len(pictures)])
        buffer.pts = buffer.dts = state["start"] + state["next"] * Gst.SECOND // rate
        state["next"] += 1
        going_on = source.emit("push-buffer", buffer) in (Gst.FlowReturn.OK, Gst.FlowReturn.FLUSHING)
        if not going_on:
            state["timer"] = 0
        return bool(going_on)

    def stop(_: Any) -> None:
        if state["timer"]:
            GLib.source_remove(state["timer"])
            state["timer"] = 0

    state["timer"] = GLib.timeout_add(round(1000 / rate), push)
    media.connect("unprepared", stop)


def protect(server: Any, spec: dict[str, Any]) -> None:
    """Ask for the user's name and password, Basic or Digest."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth = GstRtspServer.RTSPAuth()
    if spec.get("digest"):
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(spec["user"], spec["password"], token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(spec["user"], spec["password"]), token)
    server.set_auth(auth)


def add(server: Any, mount: dict[str, Any], protected: bool) -> None:
    """Serve one mount; all clients share its media."""
    factory = {"pattern": pattern_factory, "loop": loop_factory}[mount["kind"]](mount)
    factory.set_shared(True)
    if protected:
        permissions = GstRtspServer.RTSPPermissions()
        for what in ("access", "construct"):
            permissions.add_permission_for_role(ROLE, f"media.factory.{what}", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(f"/{mount['name']}", factory)


def main(text: str) -> int:
    """Serve until SIGTERM."""
    spec = json.loads(text)
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(spec.get("port", 0)))
    if spec.get("user"):
        protect(server, spec)
    for mount in spec["mounts"]:
        add(server, mount, bool(spec.get("user")))
    if server.attach(None) == 0:
        print(f"port {spec.get('port', 0)} is taken", file=sys.stderr)
        return 1
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    print("READY", server.get_bound_port(), flush=True)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
