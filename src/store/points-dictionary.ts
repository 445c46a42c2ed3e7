/**
 * Text that encoded points share, for the compressor to refer to: a row of four points takes half the bytes with it.
 *
 * What was compressed with it can only be read with it: never change a character. Better words are a new dictionary
 * under a new `Packing`. What is used most stands last, where referring to it costs least.
 */
export const POINTS_DICTIONARY = Buffer.from(
  [
    '["machine_alarm",{"machine":"","machine_class":"","severity":"warning","event":"raised","message":"',
    '["gateway_status",{"gateway":"","connections":,"accepted_samples":,"late_samples":,"duplicate_samples":,',
    '"dead_letters":,"delivered_points":,"outbox_pending_points":,"outbox_oldest_age_s":,"store_bytes":,"rss_bytes":',
    '["machine_health",{"machine":"","state":"healthy","state_index":0,"condition":"',
    '["machine_assessment",{"machine":"","score_state":"ok","none","commissioning","baseline_progress":1,',
    '"extrapolating":false,true,"reason":"","anomaly_score":0.,"anomaly_p_value":0.,"anomaly_surprise":,',
    '"anomaly_model":"@1.0.0","anomaly_top_feature":"","anomaly_top_z":,"rul":,"rul_low":,"rul_high":',
    '"rms":,"peak":,"peak_to_peak":,"crest":,"kurtosis":,"skewness":,"velocity_rms":,"envelope_rms":,"band_',
    '],["machine_features",{"machine":"","machine_class":"","channel":"temperature","vibration","pressure","c0"},17',
    '00000,{"mean":,"std":0.,"std_sample":0.,"min":,"max":,"last":,"slope_per_h":-,"delta":-0.,"count":10,"twa":,',
    '"coverage":1,"quality":"good","revision":0}],["machine_features",{"machine":"m1","machine_class":"',
  ].join(''),
);
