"""What tests may need of the machine they run on, and what they say when it isn't there."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STREAMPROC_SHARED") or REPOSITORY.parent / "shared")
"""real nets, footage and data; not part of the repository"""

NO_SHARED = "the folder with real nets and footage is not there"
NO_CAMERA = "no camera"
NO_JAVA = "no Java 17 or newer"
NO_MAVEN = "no Maven"
NO_RTSP_SERVER = "no gst-rtsp-server"
NO_BROWSER = "no Chromium"
