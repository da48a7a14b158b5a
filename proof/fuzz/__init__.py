"""Random calls of every function, each compared with a reference.

(a) Rows, with the references' judgement of them, make a bank (`banks`, `losses`, `formulas`). A
    call takes rows of a bank in another shape, order of axes, place in memory and with other
    options (`arrangement`, `calls`), and has to give the bits of the bank.
(b) One call in ten has to be refused (`invalid`). States are added to, merged and read (`states`).
(c) In every fourth bank the library's sizes are small (`world`): boxes of a few hundred elements,
    helpers for small arrays, a tiny cache. What takes millions of elements otherwise happens in
    small calls.
(d) All decisions are integers of `choices`. A failure is made simpler by making these smaller, and
    told as a program that runs on its own (`failure`).
"""
