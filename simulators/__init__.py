"""The virtual laboratory: a world of physics, front panels that speak the instruments' wire languages, transports.

A front panel stands at the same dotted name as its driver, with `simulators` for `instruments`:
`remanence.instruments.srs:SR830` is answered by `remanence.simulators.srs:SR830`.
"""
