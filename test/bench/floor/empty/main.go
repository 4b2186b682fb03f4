// Command empty does nothing. Its run time is the minimum of any Go process.
package main

func main() {}
