package network

import "testing"

func TestParseMAC(t *testing.T) {
	const want = MAC("0a:58:c0:a8:2b:0a")
	for _, in := range []string{"0a:58:c0:a8:2b:0a", "0A-58-C0-A8-2B-0A", "0a58.c0a8.2b0a"} {
		t.Run(in, func(t *testing.T) {
			if got, err := ParseMAC(in); err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestParseMAC_Errors(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"empty":   {"", `"" is not a MAC address`},
		"a word":  {"mac", `"mac" is not a MAC address`},
		"5 bytes": {"0a:00:00:00:00", `"0a:00:00:00:00" is not a MAC address`},
		"8 bytes": {"0a:00:00:00:00:00:00:01",
			`"0a:00:00:00:00:00:00:01" is a MAC address of 8 bytes, must be 6`},
		"a group address": {"33:33:00:00:00:01",
			`"33:33:00:00:00:01" is a group address, must be a unicast address`},
		"the zero address": {"00:00:00:00:00:00",
			`"00:00:00:00:00:00" is the zero address, must be a unicast address`},
		"a pair of CNI_ARGS":  {"0a:00:00:00:00:01;X=1", `"0a:00:00:00:00:01;X=1" is not a MAC address`},
		"a word of 100 bytes": {longWord, `"` + longWord[:64] + `" is not a MAC address`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseMAC(tt.in); err == nil || err.Error() != tt.want {
				t.Errorf("got %q, %v, want the error %q", got, err, tt.want)
			}
		})
	}
}

const longWord = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// FuzzParseMAC: what ParseMAC accepts is a unicast EUI-48 address in the notation that kactus
// compares.
func FuzzParseMAC(f *testing.F) {
	for _, seed := range []string{"0a:58:c0:a8:2b:0a", "0A-58-C0-A8-2B-0A", "0a58.c0a8.2b0a", "01:00:00:00:00:00", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mac, err := ParseMAC(s)
		if err != nil {
			return
		}
		if again, err := ParseMAC(string(mac)); err != nil || again != mac || len(mac) != 17 {
			t.Fatalf("%q became %q, then %q (%v)", s, mac, again, err)
		}
	})
}
