module example.com/benchtargets

go 1.21
