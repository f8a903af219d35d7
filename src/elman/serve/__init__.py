"""``elman serve``: trained models over HTTP and WebSocket.

A request passes through these modules, in this order:

- ``guard.py`` checks its token and origin, and counts its bytes;
- ``service.py`` routes it, and answers ``/healthz``, ``/v1``, ``/metrics`` and ``/openapi.json``;
- ``requests.py`` reads its inputs and options, and ``request_options.py`` checks the options;
- ``worker.py`` answers it together with others, on a thread of the model;
- ``streams.py`` is the way of a WebSocket instead.

``refusal.py`` says how every problem is answered: by a status and one sentence in JSON.
``limits.py`` declares the limits, and ``server.py`` listens and stops.
"""

from elman.serve.limits import Limits

__all__ = ["Limits"]
