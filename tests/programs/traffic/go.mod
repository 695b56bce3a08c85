module example.com/traffic

go 1.21
