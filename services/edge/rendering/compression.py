"""Which answers are compressed, for whoever asks for it: JSON of one piece and pages, where it is worth the work.

Nobody learns a secret from how long they are (BREACH), though a signed URL and what others have written stand in one
answer. Whoever guesses must make the user's browser ask again and again, and a page of another origin can't: it has no
token, and cookies count for nothing.
"""

from services.edge.rendering.parts import Json, extension, typed

COMPRESSOR_FILTER = "envoy.filters.http.compressor"
# Below this most answers fit into one packet as they are.
_LEAST_BYTES = 1024


def compressor_filter() -> Json:
    """Return the filter; routes of streams and of content do without it."""
    return typed(
        COMPRESSOR_FILTER,
        "filters.http.compressor.v3.Compressor",
        compressor_library={
            "name": "gzip",
            "typed_config": extension("compression.gzip.compressor.v3.Gzip", compression_level="BEST_SPEED"),
        },
        response_direction_config={
            "common_config": {"min_content_length": _LEAST_BYTES, "content_type": ["application/json", "text/html"]}
        },
    )
