package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/client-go/rest"
)

// maxListed bounds what is read of a list between one Pod and the next, in bytes. An object has at
// most 1.5 MiB, which is more once it is escaped.
const maxListed = 4 << 20

// errListedTooLarge is returned for what is larger than that.
var errListedTooLarge = errors.New("an element of the list is too large")

// listPods sends a request for a list of Pods. It keeps of each only what trimPod leaves, one after
// the other: a node's Pods take megabytes, and whatever a server sends must not take more.
func listPods(ctx context.Context, request *rest.Request) (*watchedPodList, error) {
	body, err := request.Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	list, err := decodePods(body)
	if err != nil {
		return nil, fmt.Errorf("decode the list of Pods: %w", err)
	}
	return list, nil
}

func decodePods(r io.Reader) (*watchedPodList, error) {
	bounded := &stepReader{r: r}
	d := json.NewDecoder(bounded)
	list := &watchedPodList{}
	err := decodeEach(d, bounded, '{', func() error {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "metadata":
			return d.Decode(&list.ListMeta)
		case "items":
			return decodeEach(d, bounded, '[', func() error { return decodePod(d, list) })
		}
		var other json.RawMessage
		return d.Decode(&other)
	})
	return list, err
}

func decodePod(d *json.Decoder, list *watchedPodList) error {
	pod := &WatchedPod{}
	if err := d.Decode(pod); err != nil {
		return err
	}
	_, err := trimPod(pod)
	list.Items = append(list.Items, *pod)
	return err
}

// decodeEach calls decode at each element of an object or array, which may be null.
func decodeEach(d *json.Decoder, bounded *stepReader, open json.Delim, decode func() error) error {
	bounded.left = maxListed
	token, err := d.Token()
	switch {
	case err != nil:
		return err
	case token == nil:
		return nil
	case token != open:
		return fmt.Errorf("%v where %v is expected", token, open)
	}
	for d.More() {
		bounded.left = maxListed
		if err := decode(); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// A stepReader reads at most a number of bytes, until that is set again.
type stepReader struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (s *stepReader) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errListedTooLarge
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}
