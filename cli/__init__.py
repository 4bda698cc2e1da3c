"""`remanence …`: the engine's verbs for terminals and scripts. Data goes to stdout, everything else to stderr."""
