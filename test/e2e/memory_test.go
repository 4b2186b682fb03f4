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

// expectPeak fails the test if the operation, whether or not it succeeds, needs more memory than
// the limit.
func expectPeak(t *testing.T, p *kactustest.Pod, operation string, conf kactustest.NetConf, c kactustest.Call) {
	t.Helper()
	if peak := p.Start(t, operation, conf, c).Peak(); peak >= kactustest.MemoryLimit {
		t.Errorf("%s needs %d MiB; want less than %d", operation, peak, kactustest.MemoryLimit)
	} else {
		t.Logf("%s needs %d MiB", operation, peak)
	}
}

func TestMemory_Delegates(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.Conf.DelegateTimeout = "5s"
	tn.AddScript(t, "quiet", `echo '{"cniVersion": "1.0.0"}'`)
	tn.AddScript(t, "loud", `printf '{"cniVersion": "1.0.0", "dns": {"domain": "'
head -c 1000000 /dev/zero | tr '\0' '<'
echo '"}}'`)
	tn.AddScript(t, "interfaces", `[ "$CNI_COMMAND" != ADD ] || { printf '{"cniVersion": "1.0.0", "interfaces": [{}'
head -c 340000 /dev/zero | sed 's/\x00/,{}/g'
echo ']}'; }`)
	tn.AddScript(t, "few", `[ "$CNI_COMMAND" != ADD ] || { printf '{"cniVersion": "1.0.0", "routes": [{"dst": "::/0"}'
head -c 4000 /dev/zero | sed 's/\x00/,{"dst":"::\/0"}/g'
echo ']}'; }`)
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
		{"a result of very many interfaces", "interfaces", "", 1},
		{"results of as many routes as there may be", "few", "", 16},
		{"plugins that print without end", "endless", "", 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			var selections []string
			for range c.networks {
				name := fmt.Sprintf("n%d", kactustest.NextNumber())
				tn.CreateNetwork(t, name, `{"type": "`+c.plugin+`"`+c.pad+`}`)
				selections = append(selections, `{"name": "`+name+`"}`)
			}
			p := tn.NewPod(t, "["+strings.Join(selections, ",")+"]")
			for _, operation := range []string{"ADD", "DEL"} {
				expectPeak(t, p, operation, p.Conf, p.Runtime())
			}
		})
	}
}

func TestMemory_APIServer(t *testing.T) {
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
		"headers without end": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 4096 {
				w.Header().Add(fmt.Sprintf("X-%d", i), strings.Repeat("x", 16<<10))
			}
		},
		"metadata of very many owners": func(w http.ResponseWriter, r *http.Request) {
			list := strings.TrimSuffix(strings.Repeat("{},", 400<<10), ",")
			writeMetadata(w, r, `"ownerReferences": [`+list+`], "managedFields": [`+list+`]`)
		},
		"metadata of very many annotations": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q, "annotations": {"": ""`,
				path.Base(r.URL.Path))
			for i := range 200000 {
				fmt.Fprintf(w, `,"%x":""`, i)
			}
			io.WriteString(w, "}}}")
		},
		"an annotation of two megabytes": func(w http.ResponseWriter, r *http.Request) {
			annotation := strings.TrimSuffix(strings.Repeat("{},", 700000), ",")
			writeMetadata(w, r, `"annotations": {"networks": "[`+annotation+`]"}`)
		},
		"64 Networks, all long": func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/pods/") {
				var names []string
				for i := range 64 {
					names = append(names, fmt.Sprintf(`{\"name\":\"n%d\"}`, i))
				}
				writeMetadata(w, r, `"annotations": {"networks": "[`+strings.Join(names, ",")+`]"}`)
				return
			}
			endlessly(r, w, `{"spec": `)
		},
	}
	for what, answer := range kinds {
		t.Run(what, func(t *testing.T) {
			conf := tn.Conf
			conf.Kubeconfig = fakeAPIServer(t, tn, "token", answer)
			p := tn.NewAbsentPod(t)
			expectPeak(t, p, "ADD", conf, p.Runtime())
			expectPeak(t, p, "ADD", conf, p.Agent("green", ""))
			p.ExpectUntouched(t)
		})
	}
}

// writeMetadata writes the metadata of the object that the request names, with these members.
func writeMetadata(w io.Writer, r *http.Request, members string) {
	fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q, %s}}`, path.Base(r.URL.Path), members)
}

// endlessly writes the text until the client is gone.
func endlessly(r *http.Request, w io.Writer, text string) {
	chunk := []byte(strings.Repeat(text, 64<<10))
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// Each configuration is within its limit; the record holds all of them.
func TestMemory_HotAdds(t *testing.T) {
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
		t.Errorf("%d attachments; want 4 MB of them, but not all", made)
	}
	expectPeak(t, p, "DEL", p.Conf, p.Runtime())
	p.ExpectGone(t)
}
