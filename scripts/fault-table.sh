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

# write_fault_table writes the table to a Markdown file. The campaign may be run in parts: rows that
# the file has, and that were not tried now, stay.
write_fault_table() {
	local rows
	rows=$(mktemp)
	[ ! -e "$1" ] || sed -n 's/^| \(.*[^ ]\)  *| *\([0-9]*\) | *\([0-9]*\) | *\([^ ]*\) |$/\1\t\2\t\3\t\4/p' "$1" |
		grep -v '^all'$'\t' >"$rows" || true
	cat "$rows" "$KACTUS_FAULT_TABLE" | awk -F'\t' '
		function row(fault, tried, lost, worst) {
			printf "| %-*s | %9s | %4s | %10s |\n", width, fault, tried, lost, worst
		}
		!($1 in tried) { order[++n] = $1; if (length($1) > width) width = length($1) }
		{ tried[$1] = $2; lost[$1] = $3; worst[$1] = $4 }
		END {
			print "<!-- Written by ./scripts/faults.sh --table docs/reliability-table.md -->\n"
			print "# The faults of the campaign\n"
			print "[reliability.md](reliability.md) says what was done, and when, and what the columns are.\n"
			row("fault", "tried", "lost", "worst")
			print "| --- | ---: | ---: | ---: |"
			for (i = 1; i <= n; i++) {
				row(order[i], tried[order[i]], lost[order[i]], worst[order[i]])
				all += tried[order[i]]; allLost += lost[order[i]]
			}
			row("all", all, allLost + 0, "")
		}
	' >"$1.new"
	rm "$rows"
	mv "$1.new" "$1"
}
