"""Ask registries for what is due: one look-up for each repository, however many containers wait for it."""

from registries.polling.runs import expire, poll_due

__all__ = ["expire", "poll_due"]
