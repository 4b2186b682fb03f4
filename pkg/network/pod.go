package network

import "fmt"

// DefaultNetworkAnnotation is the key of the Pod's annotation that names, as one element of
// NPWGAnnotation, the NetworkAttachmentDefinition of the Pod's default network. It is Multus's.
const DefaultNetworkAnnotation = "v1.multus-cni.io/default-network"

// Annotations are the keys of all annotations that select a Pod's networks.
func Annotations() []string { return []string{Annotation, NPWGAnnotation, DefaultNetworkAnnotation} }

// An AnnotationError says which annotation of a Pod is wrong, and why.
type AnnotationError struct {
	Annotation string
	Cause      error
}

// Error implements error.
func (e *AnnotationError) Error() string {
	return "annotation " + e.Annotation + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *AnnotationError) Unwrap() error { return e.Cause }

// DecidingAnnotation returns the key of the annotation that selects the Pod's networks apart from
// the default network: where there are both, Annotation. It is empty where there is none.
func DecidingAnnotation(annotations map[string]string) string {
	for _, key := range []string{Annotation, NPWGAnnotation} {
		if _, ok := annotations[key]; ok {
			return key
		}
	}
	return ""
}

// ParsePod parses what a Pod's annotations select. What a person should know, but is no error, such
// as an annotation that does not count, is a warning. The error is an *AnnotationError.
func ParsePod(annotations map[string]string) (selections []Selection, warnings []error, err error) {
	key := DecidingAnnotation(annotations)
	switch key {
	case Annotation:
		selections, err = ParseSelections(annotations[key])
		if _, both := annotations[NPWGAnnotation]; both {
			warnings = append(warnings, &AnnotationError{
				NPWGAnnotation, fmt.Errorf("passed over, because the Pod has the annotation %s", Annotation),
			})
		}
	case NPWGAnnotation:
		var unknown []error
		selections, unknown, err = ParseNPWG(annotations[key])
		for _, w := range unknown {
			warnings = append(warnings, &AnnotationError{key, w})
		}
	}
	if err != nil {
		return nil, nil, &AnnotationError{key, err}
	}
	if value, ok := annotations[DefaultNetworkAnnotation]; ok {
		var unknown []error
		selections, unknown, err = withDefault(value, selections)
		if err != nil {
			return nil, nil, &AnnotationError{DefaultNetworkAnnotation, err}
		}
		for _, w := range unknown {
			warnings = append(warnings, &AnnotationError{DefaultNetworkAnnotation, w})
		}
	}
	return selections, warnings, nil
}

// withDefault returns the selections, and before them the one of DefaultNetworkAnnotation, which
// has that value.
func withDefault(value string, selections []Selection) (all []Selection, warnings []error, err error) {
	defaults, warnings, err := ParseNPWG(value)
	switch {
	case err != nil:
		return nil, nil, err
	case len(defaults) == 0:
		return selections, nil, nil
	case len(defaults) > 1:
		return nil, nil, fmt.Errorf("%d networks, must be one", len(defaults))
	}
	s := defaults[0]
	s.IsPrimary, s.Position = true, 0
	for _, other := range selections {
		switch {
		case other.IsPrimary:
			return nil, nil, fmt.Errorf("names a default network, and so does isPrimary of %s in the annotation %s",
				other.Name, Annotation)
		case len(s.DefaultRoute) > 0 && len(other.DefaultRoute) > 0:
			return nil, nil, fmt.Errorf("default-route: %s already has the default route", other.Name)
		}
	}
	if len(selections) == MaxSelections {
		return nil, nil, fmt.Errorf("%d networks with the others, limit is %d", len(selections)+1, MaxSelections)
	}
	return append([]Selection{s}, selections...), warnings, nil
}
