"""The programs that parity's pods run, handed over as text (``python -c``): they import nothing of ours."""
