"""VapourSynth's side of the filter: arguments, timeline, requests, properties. No arithmetic on pixels."""
