module larder.dev/steer-port

go 1.25
