"""What pytest collected and what its checks were seen to do: inventory, evidence, audit."""
