"""Side by side: this project, the public recipe, and the least code that could do the same (`make bench`).

One decision shapes the folder: every contender runs in a process of its own, against a server in another
process whose pages are ready-made, and its rows are compared with the formulas they were made by. So what is
compared is the work on the reading side alone, and a contender that loses a row has no time to show.
"""
