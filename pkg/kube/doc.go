// Package kube reads from the apiserver what an ADD needs: a Pod's metadata and Networks.
//
// A [Client] is made from a kubeconfig or, without one, from the service account that every Pod of
// the cluster has. It reads objects with GET, over one HTTP/2 connection where the apiserver offers
// HTTP/2, and never changes or watches anything. Of a Pod it asks for the metadata alone. Only for
// a Pod that has devices by resource claims, [Client.PodNode] reads the whole Pod, and
// [Client.NetworkDevices] lists ResourceSlices. For kactus install, [Client.RequestToken] has the
// apiserver issue a token.
//
// Credentials. client-go reads the kubeconfig, and adds the credentials to each request. A token or
// a client certificate in a file may be renewed. An exec plugin is run for the first request, again
// when its credentials expire or are rejected, never interactively, and no longer than the request
// may take.
//
// Retries. A request is sent again after a connection error, a 429 or a 5xx, as long as the context
// lasts. The pauses grow exponentially with jitter, or are what Retry-After asks for. Errors that
// do not pass are returned at once: TLS verification failures and the other 4xx. One exception: for
// a few seconds after an apiserver came up, its 401 and 403 are not final, because it serves
// requests before it has loaded its authorization rules. What can never be sent, such as a token
// with a newline, is an error of [New]. A plugin that fails is not run again for the same object.
//
// Bounds. Each attempt has a timeout. All responses to one Client draw on one [budget.Budget], and
// headers, error bodies and HTTP/2 receive buffers are limited too, so that neither a large object
// nor a Pod that names many Networks makes kactus large.
//
// Proxies. The kubeconfig's proxy-url counts, else HTTPS_PROXY. Unless the apiserver is known to
// have answered, an error names the proxy: its words must not pass for the apiserver's.
//
// Redaction. No error quotes a kubeconfig's content, nor the credentials that were sent, even where
// a proxy repeats them in its response. Redirects are not followed, so that the token reaches no
// other server, and no credentials are sent over plain HTTP.
//
// Ownership. A kubeconfig that anyone but root (or the current user) could have written is refused:
// it decides which server is trusted and receives the token. [Exposed] reports one that others can
// read.
package kube
