"""Settings of the tracker."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamproc_plugins.tracking.kalman import MotionModel


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSettings:
    """Times in seconds of media time, scores and overlaps (intersection over union) in 0..1.

    Likeness is the overlap of predicted and detected box times the agreement of their heights.
    """

    min_score: float = 0.1
    """detections below are ignored"""
    high_score: float = 0.5
    """detections from here on are sure: matched first, and able to find a lost track again"""
    new_score: float = 0.5
    """detections from here on may begin a track"""
    repeated: float = 0.8
    """of two detections of a label that overlap more, the one with the lower score is ignored"""
    least_likeness: float = 0.3
    """least likeness of a track that was detected just now and a sure detection"""
    lost_likeness: float = 0.4
    """the same for a track without a detection for `lost_after_s`"""
    rescue_likeness: float = 0.5
    """the same for a detection that isn't sure"""
    clipped_likeness: float = 0.5
    """least horizontal overlap of a track and a detection of which one shows only the upper or lower part"""
    clipped_memory_s: float = 1.0
    """time over which a track takes the height of such a detection"""
    new_overlap: float = 0.45
    """a detection that overlaps one of its label already taken by this much begins no track"""
    new_overlap_other: float = 0.7
    """nor does one that overlaps one of another label, or a surer one that begins a track, by this much"""
    new_clipped: float = 0.8
    """nor does one that is so like the upper or lower part of another, or the whole of which that one is a part"""
    lost_after_s: float = 0.2
    """without a detection for longer, a track must wait until those detected just now had their choice"""
    rescue_s: float = 0.5
    """without a detection for longer, a track isn't continued by doubtful ones"""
    lone_s: float = 1.5
    """without a detection for at most so long, a track takes a sure one that is alone within its reach"""
    lone_step: float = 2.0
    """that reach beyond its path, in lengths of its longer side, for a track detected at the step before"""
    lone_reach: float = 2.0
    """that reach for another, in standard deviations of the predicted place; at most the size of the box"""
    lone_agreement: float = 0.6
    """and the least agreement of heights"""
    lost_s: float = 2.5
    """a confirmed track ends after so long without a detection"""
    tentative_s: float = 0.15
    """a tentative track ends after so long without a detection"""
    confirm_hits: int = 2
    """detections after which a track is confirmed"""
    confirm_score: float = 0.65
    """mean score below which it takes as many more as their sum of scores asks for"""
    confirm_s: float = 0.0
    """and age that it must have reached"""
    brief_s: float = 0.1
    """an undetected track is shown for so long however badly it was predicted: detectors miss a frame"""
    coast_s: float = 0.2
    """a track is shown at its predicted place for so long after its last detection"""
    hidden_s: float = 0.7
    """the same for one that another hides"""
    hidden_share: float = 0.3
    """share of the predicted box within a detected box, from which it counts as hidden"""
    coast_share: float = 0.5
    """a track is shown undetected for at most this share of the time for which it was detected"""
    coast_trust: float = 0.8
    """and no longer than the time over which this share of predictions proved right; 0: never mind"""
    margin: float = 0.5
    """boxes are grown by this many standard deviations of the predicted place before they are compared"""
    shift_pairs: int = 4
    """least number of pairs from which the camera's own shift is estimated; 0: never"""
    other_label: float = 0.7
    """the likeness of a track and a detection of another label is multiplied by this; 0: they never match"""
    label_hold_s: float = 1.0
    """a track changes its label after only the new one was detected for so long"""
    score_memory_s: float = 0.5
    """time over which a track's score is averaged"""
    appearance_weight: float = 0.5
    """share of appearance in the likeness where both sides have an embedding"""
    appearance_least: float = 0.2
    """cosine at and below which two embeddings say nothing for a match"""
    appearance_full: float = 0.7
    """cosine at and above which they say all they can"""
    appearance_memory_s: float = 1.0
    """time over which a track's embedding is averaged"""
    motion: MotionModel = field(default_factory=MotionModel)
