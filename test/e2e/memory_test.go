package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// expectPeak: the verb, whether it succeeds or not, needs less than the limit.
func expectPeak(t *testing.T, p *kactustest.Pod, operation string, conf kactustest.NetConf, c kactustest.Call) {
	t.Helper()
	if peak := p.Start(t, operation, conf, c).Peak(); peak >= kactustest.MemoryLimit {
		t.Errorf("%s needs %d MiB; want less than %d", operation, peak, kactustest.MemoryLimit)
	} else {
		t.Logf("%s needs %d MiB", operation, peak)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.Conf.DelegateTimeout = "5s"
	tn.AddScript(t, "quiet", `echo '{"cniVersion": "1.0.0"}'`)
	tn.AddScript(t, "loud", `printf '{"cniVersion": "1.0.0", "dns": {"domain": "'; head -c 1000000 /dev/zero | tr '\0' '<'; echo '"}}'`)
	tn.AddScript(t, "devices", `[ "$CNI_COMMAND" != ADD ] || { printf '{"cniVersion": "1.0.0", "interfaces": [{}'; head -c 340000 /dev/zero | sed 's/\x00/,{}/g'; echo ']}'; }`)
	tn.AddScript(t, "few", `[ "$CNI_COMMAND" != ADD ] || { printf '{"cniVersion": "1.0.0", "routes": [{"dst": "::/0"}'; head -c 4000 /dev/zero | sed 's/\x00/,{"dst":"::\/0"}/g'; echo ']}'; }`)
	tn.AddScript(t, "endless", `[ "$CNI_COMMAND" != ADD ] || exec cat /dev/zero`)
	tn.AddScript(t, "rude", `printf '{"code": 1, "msg": "'; head -c 1000000 /dev/zero | tr '\0' '<'; echo '"}'; exit 1`)
	var keys strings.Builder
	for i := range 90000 {
		fmt.Fprintf(&keys, `,"%x":1`, i)
	}
	long := `, "pad": "` + strings.Repeat("x", 1000<<10) + `"`
	for _, c := range []struct {
		what, plugin, pad string
		networks          int
	}{
		{"many long configurations", "quiet", long, 16},
		{"two long configurations and results", "loud", long, 2},
		{"a configuration of very many keys and a long result", "loud", keys.String(), 1},
		{"two configurations of very many keys", "quiet", keys.String(), 2},
		{"results that are long together", "loud", "", 32},
		{"errors that are long together", "rude", "", 32},
		{"a result of very many devices", "devices", "", 1},
		{"results of as many routes as there may be", "few", "", 16},
		{"plugins that print without end", "endless", "", 2},
	} {
		t.Run("is bounded with "+c.what, func(t *testing.T) {
			var ask []string
			for range c.networks {
				name := fmt.Sprintf("n%d", kactustest.NextNumber())
				tn.CreateNetwork(t, name, `{"type": "`+c.plugin+`"`+c.pad+`}`)
				ask = append(ask, `{"name": "`+name+`"}`)
			}
			p := tn.NewPod(t, "["+strings.Join(ask, ",")+"]")
			for _, operation := range []string{"ADD", "DEL"} {
				expectPeak(t, p, operation, p.Conf, p.Runtime())
			}
		})
	}
}

func TestMemoryWhateverTheApiserverSends(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.Conf.APITimeout = "5s"
	kinds := map[string]http.HandlerFunc{
		"a body without end": func(w http.ResponseWriter, r *http.Request) { endlessly(r, w, "x") },
		"a body without end that is an error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			endlessly(r, w, "x")
		},
		"a body that is small until it is decompressed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			endlessly(r, z, "[")
		},
		"headers without end": func(w http.ResponseWriter, r *http.Request) {
			for i := range 4096 {
				w.Header().Add(fmt.Sprintf("X-%d", i), strings.Repeat("x", 16<<10))
			}
		},
		"metadata of very many owners": func(w http.ResponseWriter, r *http.Request) {
			list := strings.TrimSuffix(strings.Repeat("{},", 400<<10), ",")
			fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q, "ownerReferences": [%s], "managedFields": [%s]}}`, path.Base(r.URL.Path), list, list)
		},
		"metadata of very many annotations": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q, "annotations": {"": ""`, path.Base(r.URL.Path))
			for i := range 200000 {
				fmt.Fprintf(w, `,"%x":""`, i)
			}
			io.WriteString(w, "}}}")
		},
		"an annotation of two megabytes": func(w http.ResponseWriter, r *http.Request) {
			annotation := strings.TrimSuffix(strings.Repeat("{},", 700000), ",")
			fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q, "annotations": {"networks": "[%s]"}}}`, path.Base(r.URL.Path), annotation)
		},
		"64 Networks, all long": func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/pods/") {
				var names []string
				for i := range 64 {
					names = append(names, fmt.Sprintf(`{\"name\":\"n%d\"}`, i))
				}
				fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q, "annotations": {"networks": "[%s]"}}}`, path.Base(r.URL.Path), strings.Join(names, ","))
				return
			}
			endlessly(r, w, `{"spec": `)
		},
	}
	for what, answer := range kinds {
		t.Run("is bounded with "+what, func(t *testing.T) {
			conf := tn.Conf
			conf.Kubeconfig = fakeAPIServer(t, tn, "token", answer)
			p := tn.NewAbsentPod(t)
			expectPeak(t, p, "ADD", conf, p.Runtime())
			expectPeak(t, p, "ADD", conf, p.Agent("green", ""))
			p.ExpectUntouched(t)
		})
	}
}

// endlessly writes the text again and again, without end.
func endlessly(r *http.Request, w io.Writer, text string) {
	chunk := []byte(strings.Repeat(text, 64<<10))
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// Each of the configurations is short enough, and the record of the container has them all.
func TestMemoryOfManyHotAdds(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.AddScript(t, "quiet", `echo '{"cniVersion": "1.0.0"}'`)
	p := tn.NewAnnotatedPod(t, nil)
	p.Add(t)
	for i := range 8 {
		name := fmt.Sprintf("long-%d", i)
		tn.CreateNetwork(t, name, `{"type": "quiet", "pad": "`+strings.Repeat("x", 1000<<10)+`"}`)
		expectPeak(t, p, "ADD", p.AgentConf(), p.Agent(name, ""))
	}
	if made := len(p.Record(t).Attachments); made < 4 || made == 9 {
		t.Errorf("%d attachments; want four megabytes of them, and an end", made)
	}
	expectPeak(t, p, "DEL", p.Conf, p.Runtime())
	p.ExpectGone(t)
}
