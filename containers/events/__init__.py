"""Follow the event streams of all watched devices and write what they tell.

``listener`` keeps one follower per device this process is responsible for, ``follower`` holds one device's stream,
``coalescing`` orders the work, ``recording`` writes it.
"""
