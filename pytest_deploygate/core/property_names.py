"""Names of JUnit properties of a check."""

GATE_PROPERTY = "deploygate.gate"
STATE_PROPERTY = "deploygate.state"
MEASURE_PROPERTY = "deploygate.measure"
DEFECT_PROPERTY = "deploygate.known_defect"
