"""A benchmark of the diagnosis: real short trainings with one planted fault each, and healthy ones.

python -m benchmarks.doctor.record --dataset shapes --seeds 0 1     train and keep the curves (minutes to hours)
python -m benchmarks.doctor.score                                   what the diagnosis says of them (seconds)
python -m benchmarks.doctor.recover --dataset shapes --seeds 2      run the prescriptions
python -m benchmarks.doctor.peers --python VENV/bin/python          the log doctors on the same curves
python -m benchmarks.doctor.results                                 write RESULTS.md from all of that
"""
