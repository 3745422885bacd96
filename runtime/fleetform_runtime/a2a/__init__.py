"""Agent2Agent, versions 1.0 and 0.3: an agent as others see it, their messages, and its tasks.

Everything is written as version 1.0 has it; `dialects` says what is different in 0.3. A task is a run, known by the
first one if others went on from it; a context is a session. Imported with the first request.
"""
