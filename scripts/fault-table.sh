# Functions for scripts that run the fault campaign: the table of its results. Source this file.

# new_fault_table makes the tests that run from now on add their rows to a new table.
new_fault_table() {
	KACTUS_FAULT_TABLE=$(mktemp)
	export KACTUS_FAULT_TABLE
	trap 'rm -f "$KACTUS_FAULT_TABLE" "$KACTUS_FAULT_TABLE.out"' EXIT
}

# print_fault_table prints the table, and fails if something was lost or if the table is empty.
print_fault_table() {
	awk -F'\t' '
		BEGIN { print ""; printf "%-100s %7s %6s %12s\n", "fault", "tried", "lost", "worst" }
		{ printf "%-100s %7d %6d %12s\n", $1, $2, $3, $4; tried += $2; lost += $3 }
		END { printf "%-100s %7d %6d\n", "all", tried, lost; exit lost > 0 || NR == 0 }
	' "$KACTUS_FAULT_TABLE"
}
