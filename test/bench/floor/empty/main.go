// Command empty does nothing: what it takes is what any Go process takes.
package main

func main() {}
