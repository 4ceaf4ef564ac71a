"""Statistics over trials: Pareto fronts, hypervolume, rank correlation, intervals, cells of the map."""
