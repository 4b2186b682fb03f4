package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// merge returns the value of the annotation with the entries of s in place of those that are
// kactus's, or the value as it is if it says the same already. The entries of other writers stay as
// they are, in their order. The error says what of the value is left out, because no reader could
// decode it.
func (s *networkStatus) merge(value string) (merged string, unreadable error) {
	elements, unreadable := parseStatus(value)
	var list []json.RawMessage
	todo, end, differs := s.entries, 0, unreadable != nil
	for _, e := range elements {
		if !s.owns(e.entry) {
			list = append(list, e.raw)
			continue
		}
		if len(todo) == 0 {
			differs = true
			continue
		}
		differs = differs || !bytes.Equal(todo[0].encode(), e.entry.encode())
		list = append(list, todo[0].encode())
		todo, end = todo[1:], len(list)
	}
	if !differs && len(todo) == 0 {
		return value, nil
	}
	for i, entry := range todo {
		list = slices.Insert(list, end+i, entry.encode())
	}
	return formatStatus(list), unreadable
}

// owns reports whether the entry is kactus's: of an interface that the ledger knows, or marked as
// kactus's, from when the ledger knew its interface.
func (s *networkStatus) owns(e statusEntry) bool {
	return e.Writer == statusWriter || s.interfaces[e.Interface]
}

// A digest identifies the entries of a networkStatus.
type digest [sha256.Size]byte

func (s *networkStatus) digest() digest {
	var all []byte
	for _, e := range s.entries {
		all = append(all, e.encode()...)
	}
	return sha256.Sum256(all)
}

func (e statusEntry) encode() json.RawMessage {
	data, _ := json.Marshal(e) // cannot fail: the only part that could be invalid was decoded before
	return data
}

// A statusElement is an element of the annotation, as it is and as kactus understands it.
type statusElement struct {
	raw   json.RawMessage
	entry statusEntry
}

// parseStatus parses the value of the annotation. The error joins what is left out.
func parseStatus(value string) (elements []statusElement, unreadable error) {
	if value == "" {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		return nil, err
	}
	for i, raw := range list {
		e := statusElement{raw: raw}
		err := json.Unmarshal(raw, &e.entry)
		if err == nil && string(raw) == "null" {
			err = errors.New("null")
		}
		if err != nil {
			unreadable = errors.Join(unreadable, fmt.Errorf("element %d: %w", i, err))
			continue
		}
		elements = append(elements, e)
	}
	return elements, unreadable
}

// formatStatus returns the value of the annotation, laid out as other implementations do: people
// read it with kubectl.
func formatStatus(list []json.RawMessage) string {
	var value bytes.Buffer
	value.WriteByte('[')
	for i, raw := range list {
		if i > 0 {
			value.WriteByte(',')
		}
		_ = json.Indent(&value, raw, "", "    ") // cannot fail: was decoded or encoded
	}
	value.WriteByte(']')
	return value.String()
}
