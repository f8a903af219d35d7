"""Small files for ``elman new``, made for this purpose, a module a job.

They show a job's format and train in seconds; they are far too few for a model of any use.
"""
