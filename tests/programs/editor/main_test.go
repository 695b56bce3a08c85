package main

import "testing"

func TestDouble(t *testing.T) {
	got := double(4)
	if got != 8 { // in the test
		t.Fatal(got)
	}
}
