module example.com/deferchains

go 1.21
