module larder.dev/tools/pause

go 1.25
