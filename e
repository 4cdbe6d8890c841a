whendo: watching t (1 directory) in 0.5 ms
