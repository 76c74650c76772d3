"""Tags that a rollout puts on revisions of the service."""

TAG_CANDIDATE = "dg-cand"
"""Tag of the candidate (production settings, no traffic)."""
TAG_VERIFY = "dg-verify"
"""Tag of the candidate's verification revision: the same build with ``verify-environment``."""
TAG_FRESH = "dg-base"
"""Tag of the fresh baseline: a new revision of the baseline's image, which the candidate is compared with."""
TAG_LIVE_VERIFY = "dg-live"
"""Tag of the verification revision of the serving revision's build."""
TAG_PREVIOUS = "dg-prev"
"""Tag of the previous revision; it keeps the platform from collecting that revision (ADR 22)."""
TAG_PREVIOUS_VERIFY = "dg-pver"
"""Tag of the previous revision's verification revision."""
TAG_DRILL = "dg-drill"
"""Tag of the revision to which a rollback is drilled, as long as the drill runs."""
TAGS_OF_SERVING = (TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_PREVIOUS_VERIFY)
"""Our tags of the serving revision; they stay after a rollback."""
OWN_TAGS = (
    TAG_CANDIDATE,
    TAG_VERIFY,
    TAG_FRESH,
    TAG_LIVE_VERIFY,
    TAG_PREVIOUS,
    TAG_PREVIOUS_VERIFY,
    TAG_DRILL,
)
